/** The Lua scripts that run in Redis: each is one step for all other clients. */

/**
 * Two keys hold the log of a topic. The log itself is a stream: the id of an entry is its offset, and its fields are the time (`t`),
 * the bytes of all messages ever published in this epoch (`c`), and the message (`m`). The head is a string: six numbers of 8 bytes
 * and the epoch. A hash with seven fields would take half of the time of a publish.
 *
 * | number | meaning |
 * |---|---|
 * | `top` | the offset of the newest entry |
 * | `now` | the time of the newest entry, in ms |
 * | `sum` | the bytes of all messages ever published in this epoch |
 * | `base` | at most: the bytes of all messages before the oldest entry that is kept |
 * | `oldest` | at most: the time of the oldest entry that is kept |
 * | `ends` | when the stream expires, in ms; 0 if it was never written |
 *
 * `base` and `oldest` are exact when the stream was last trimmed by bytes or age. Afterwards they can only be too low, because a trim
 * by number does not look at the entries that it removes: then one look at the oldest entry brings them up to date. So a publish reads
 * no entry, except when one may have to be removed.
 *
 * The stream is trimmed by number in whole nodes of 4 KiB; a read leaves out what is beyond the limit.
 *
 * A stream that is missing before `ends`, or a head that is missing, was evicted or deleted: the topic gets a new epoch.
 */
const HEAD = `
local FORM = '<dddddd'
local FOREVER = 9007199254740991
local head, epoch = redis.call('GET', KEYS[1]), nil
local top, now, sum, base, oldest, ends
if head and #head > 48 then
  top, now, sum, base, oldest, ends = struct.unpack(FORM, head)
  epoch = string.sub(head, 49)
end
local time = redis.call('TIME')
time = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** The time, the bytes up to it and the message of an entry; nothing if the entry has another form. */
const FACTS = `
local function facts(entry)
  local fields = entry[2]
  if #fields ~= 6 or fields[1] ~= 't' or fields[3] ~= 'c' or fields[5] ~= 'm' then return end
  local t, c = tonumber(fields[2]), tonumber(fields[4])
  if t and c then return t, c, fields[6] end
end
`;

/**
 * Appends a message to the log and publishes it. Keys: head, stream, ids of even windows, ids of odd windows, claim. Replies
 * `offset:epoch`; with "=" before it for a known id; "!" if a higher attempt was claimed.
 */
const PUBLISH = `${HEAD}
local message, stream, id = ARGV[1], KEYS[2], ARGV[10]
if ARGV[11] ~= '' then
  local claimed = tonumber(redis.call('GET', KEYS[5]) or '')
  if claimed and claimed > tonumber(ARGV[11]) then return '!' end
end
if id ~= '' then
  local seen = redis.call('HGET', KEYS[3], id) or redis.call('HGET', KEYS[4], id)
  if seen then return '=' .. seen end
end
local size, limit, messages = #message, tonumber(ARGV[7]), ARGV[6]
local age = tonumber(ARGV[8])
local added = false
if epoch then
  if time > now then now = time end
  added = redis.pcall('XADD', stream, 'NOMKSTREAM', 'MAXLEN', '~', messages, top + 1, 't', now, 'c', sum + size, 'm', message)
  -- The stream is missing: it has expired, or it was evicted.
  if not added and ends <= now then
    base, oldest = sum, now
    added = redis.pcall('XADD', stream, 'MAXLEN', '~', messages, top + 1, 't', now, 'c', sum + size, 'm', message)
  end
  if type(added) == 'table' and added.err then
    -- Only an id that is not above the newest one, or a key of another type, shows that the stream does not belong to this head.
    if not string.find(added.err, 'equal or smaller', 1, true) and not string.find(added.err, 'WRONGTYPE', 1, true) then
      return added
    end
    added = false
  end
end
if not added then
  redis.call('DEL', stream)
  epoch, top, now, sum, base, oldest, ends = ARGV[5], 0, time, 0, 0, time, 0
  redis.call('XADD', stream, 1, 't', now, 'c', size, 'm', message)
end
top, sum = top + 1, sum + size
if sum - base > limit or (age > 0 and oldest + age <= now) then
  ${FACTS}
  local from, page, first = '-', 1, nil
  repeat
    local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', page)
    for _, entry in ipairs(entries) do
      local t, c, m = facts(entry)
      if t and sum - c + #m <= limit and (age == 0 or t + age > now) then
        first, base, oldest = entry[1], c - #m, t
        break
      end
      from = '(' .. entry[1]
    end
    local more = #entries == page
    page = math.min(page * 2, 64)
  until first or not more
  if not first then base, oldest = sum, now end
  redis.call('XTRIM', stream, 'MINID', '=', first or top + 1)
end
if age == 0 then
  if ends ~= FOREVER then
    redis.call('SET', KEYS[1], head or '')
    redis.call('PERSIST', stream)
    ends = FOREVER
  end
else
  local slack = math.max(1000, math.floor(age / 8))
  if ends < now + age or ends > now + age + slack then
    ends = now + age + slack
    redis.call('SET', KEYS[1], head or '', 'PXAT', ends + ARGV[9])
    redis.call('PEXPIREAT', stream, ends)
  end
end
redis.call('SET', KEYS[1], struct.pack(FORM, top, now, sum, base, oldest, ends) .. epoch, 'KEEPTTL')
local place = string.format('%.0f:', top) .. epoch
if id ~= '' then
  local memory = tonumber(ARGV[12])
  local window = math.floor(time / memory)
  local key = KEYS[3 + window % 2]
  redis.call('HSET', key, id, place)
  redis.call('PEXPIREAT', key, (window + 2) * memory)
end
redis.call(ARGV[3], ARGV[2], ARGV[4] .. place .. ':' .. message)
return place
`;

/**
 * Reads entries. Keys: head, stream. Replies epoch, first, top, and the entries as ids and messages in turn, where the message of an
 * entry of another form is nil. A topic without a head gets one, so that a position before the first message has an epoch.
 */
const READ = `${HEAD}${FACTS}
local function integer(number) return string.format('%.0f', number) end
local candidate, after, before, reverse = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local count, limit, expiry = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[10])
local messages, bytes, age = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
if epoch and ends > math.max(time, now) and redis.call('EXISTS', KEYS[2]) == 0 then epoch = nil end
if not epoch then
  redis.call('DEL', KEYS[2])
  redis.call('SET', KEYS[1], struct.pack(FORM, 0, time, 0, 0, time, 0) .. candidate, 'PX', expiry)
  return {candidate, 1, 0, {}}
end
if time > now then now = time end
-- The topic is in use, so that its epoch must not end.
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left < expiry / 2 then redis.call('PEXPIRE', KEYS[1], expiry) end

local function kept(offset)
  local entry = redis.call('XRANGE', KEYS[2], integer(offset), integer(offset))[1]
  if not entry then return false end
  local t, c, m = facts(entry)
  return t and sum - c + #m <= bytes and (age == 0 or t + age > now)
end
local first = top + 1
local oldestEntry = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
local low = oldestEntry and tonumber(string.match(oldestEntry[1], '^%d+'))
if low and low <= top then
  first = math.max(low, top - messages + 1)
  if not kept(first) then
    -- Both limits hold for every entry behind the first one for which they hold.
    local high = top + 1
    while first + 1 < high do
      local middle = math.floor((first + high) / 2)
      if kept(middle) then high = middle else first = middle end
    end
    first = high
  end
end

local found, total, from, to = {}, 0, math.max(after + 1, first), math.min(before - 1, top)
local page = 1
while count > 0 and from <= to do
  local entries
  if reverse then entries = redis.call('XREVRANGE', KEYS[2], integer(to), integer(from), 'COUNT', math.min(page, count))
  else entries = redis.call('XRANGE', KEYS[2], integer(from), integer(to), 'COUNT', math.min(page, count)) end
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    local t, c, m = facts(entry)
    total = total + (m and #m or 0)
    if #found > 0 and total > limit then return {epoch, first, top, found} end
    found[#found + 1] = entry[1]
    found[#found + 1] = m or false
    count = count - 1
    local offset = tonumber(string.match(entry[1], '^%d+'))
    if reverse then to = offset - 1 else from = offset + 1 end
  end
  page = math.min(page * 2, 128)
end
return {epoch, first, top, found}
`;

/** Gives a topic a new epoch if it still has the one that is given. Key: head. Replies the epoch; nil if there is no head. */
const RENEW = `
local head = redis.call('GET', KEYS[1])
if not head or #head <= 48 then return false end
local epoch = string.sub(head, 49)
if epoch ~= ARGV[1] then return epoch end
redis.call('SET', KEYS[1], string.sub(head, 1, 48) .. ARGV[2], 'KEEPTTL')
return ARGV[2]
`;

/** Raises the lowest attempt that is accepted from a producer. Key: claim. Replies 0 if a higher one was claimed before. */
const CLAIM = `
local claimed = tonumber(redis.call('GET', KEYS[1]) or '')
if claimed and claimed > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`;

/** Publishes a message that is not kept, unless a higher attempt was claimed: then it replies "!". Key: claim. */
const PASS = `
local claimed = tonumber(redis.call('GET', KEYS[1]) or '')
if claimed and claimed > tonumber(ARGV[1]) then return '!' end
redis.call(ARGV[2], ARGV[3], ARGV[4])
return ''
`;

/** A script, by its name. */
export type ScriptName = "publish" | "pass" | "read" | "renew" | "claim";

export const SCRIPTS: Readonly<Record<ScriptName, string>> = {
  publish: PUBLISH,
  pass: PASS,
  read: READ,
  renew: RENEW,
  claim: CLAIM,
};
