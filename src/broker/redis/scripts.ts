/** The Lua scripts that run in Redis: each is one step for all other clients. */

/**
 * Two keys hold the log of a topic. The log itself is a stream: the id of an entry is its offset, and its fields are the time (`t`),
 * the bytes of all messages ever published in this epoch (`c`), and the message (`m`). The head is a hash:
 *
 * | field | meaning |
 * |---|---|
 * | `e` | the epoch |
 * | `o` | the offset of the newest entry |
 * | `t` | the time of the newest entry, in ms |
 * | `c` | the bytes of all messages ever published in this epoch |
 * | `b` | at most: the bytes of all messages before the oldest entry that is kept |
 * | `a` | at most: the time of the oldest entry that is kept |
 * | `x` | when the stream expires, in ms; 0 if it was never written |
 *
 * `b` and `a` are exact when the stream was last trimmed by bytes or age. Afterwards they can only be too low, because a trim by
 * number does not look at the entries that it removes: then one look at the oldest entry brings them up to date. So a publish reads
 * no entry, except when one may have to be removed.
 *
 * A stream that is missing before `x`, or a head that is missing, was evicted or deleted: the topic gets a new epoch.
 */
const COMMON = `
local HEAD = {'e', 'o', 't', 'c', 'b', 'a', 'x'}
local FOREVER = 9007199254740991
local function integer(number) return string.format('%.0f', number) end
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- The time, the bytes up to it and the message of an entry; nothing if the entry has another form.
local function facts(entry)
  local fields = entry[2]
  if #fields ~= 6 or fields[1] ~= 't' or fields[3] ~= 'c' or fields[5] ~= 'm' then return end
  local t, c = tonumber(fields[2]), tonumber(fields[4])
  if t and c then return t, c, fields[6] end
end
local function head(key)
  local found = redis.call('HMGET', key, unpack(HEAD))
  local epoch = found[1]
  if not epoch then return end
  local values = {}
  for i = 2, 7 do
    values[i] = tonumber(found[i] or '')
    if not values[i] then return end
  end
  return epoch, unpack(values, 2, 7)
end
`;

/**
 * Appends a message to the log and publishes it. Keys: head, stream, ids of even windows, ids of odd windows, claim. Replies
 * `offset:epoch`; with "=" before it for a known id; "!" if a higher attempt was claimed.
 */
const PUBLISH = `${COMMON}
local message, channel, command, prefix, candidate = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local messages, bytes, age, expiry = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local id, attempt, memory = ARGV[10], tonumber(ARGV[11]), tonumber(ARGV[12])
local time = clock()
if attempt then
  local claimed = tonumber(redis.call('GET', KEYS[5]) or '')
  if claimed and claimed > attempt then return '!' end
end
if id ~= '' then
  local seen = redis.call('HGET', KEYS[3], id) or redis.call('HGET', KEYS[4], id)
  if seen then return '=' .. seen end
end
local size = #message
local epoch, top, now, sum, base, oldest, ends = head(KEYS[1])
local added = false
if epoch then
  if time > now then now = time end
  local offset, t, c = integer(top + 1) .. '-0', integer(now), integer(sum + size)
  added = redis.pcall('XADD', KEYS[2], 'NOMKSTREAM', 'MAXLEN', '=', messages, offset, 't', t, 'c', c, 'm', message)
  -- The stream is missing: it has expired, or it was evicted.
  if not added and ends <= now then
    base, oldest = sum, now
    added = redis.pcall('XADD', KEYS[2], 'MAXLEN', '=', messages, offset, 't', t, 'c', c, 'm', message)
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
  redis.call('DEL', KEYS[2])
  epoch, top, now, sum, base, oldest, ends = candidate, 0, time, 0, 0, time, 0
  redis.call('XADD', KEYS[2], 'MAXLEN', '=', messages, '1-0', 't', integer(now), 'c', integer(size), 'm', message)
end
top, sum = top + 1, sum + size
if sum - base > bytes or (age > 0 and oldest + age <= now) then
  local from, page, first = '-', 1, nil
  repeat
    local entries = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', page)
    for _, entry in ipairs(entries) do
      local t, c, m = facts(entry)
      if t and sum - c + #m <= bytes and (age == 0 or t + age > now) then
        first, base, oldest = entry[1], c - #m, t
        break
      end
      from = '(' .. entry[1]
    end
    local more = #entries == page
    page = math.min(page * 2, 64)
  until first or not more
  if not first then base, oldest = sum, now end
  redis.call('XTRIM', KEYS[2], 'MINID', '=', first or integer(top + 1))
end
local slack = math.max(1000, math.floor(age / 8))
local renewed = ends
if age == 0 then renewed = FOREVER
elseif ends < now + age or ends > now + age + slack then renewed = now + age + slack end
redis.call('HSET', KEYS[1], 'e', epoch, 'o', integer(top), 't', integer(now), 'c', integer(sum), 'b', integer(base),
  'a', integer(oldest), 'x', integer(renewed))
if renewed ~= ends then
  if age == 0 then
    redis.call('PERSIST', KEYS[1])
    redis.call('PERSIST', KEYS[2])
  else
    redis.call('PEXPIREAT', KEYS[1], integer(renewed + expiry))
    redis.call('PEXPIREAT', KEYS[2], integer(renewed))
  end
end
local place = integer(top) .. ':' .. epoch
if id ~= '' then
  local window = math.floor(time / memory)
  local key = KEYS[3 + window % 2]
  redis.call('HSET', key, id, place)
  redis.call('PEXPIREAT', key, integer((window + 2) * memory))
end
redis.call(command, channel, prefix .. place .. ':' .. message)
return place
`;

/**
 * Reads entries. Keys: head, stream. Replies epoch, first, top, and the entries as ids and messages in turn, where the message of an
 * entry of another form is nil. A topic without a head gets one, so that a position before the first message has an epoch.
 */
const READ = `${COMMON}
local candidate, after, before, reverse = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local count, limit, expiry = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[10])
local messages, bytes, age = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local time = clock()
local epoch, top, now, sum, base, oldest, ends = head(KEYS[1])
if epoch and ends > math.max(time, now) and redis.call('EXISTS', KEYS[2]) == 0 then epoch = nil end
if not epoch then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'e', candidate, 'o', '0', 't', integer(time), 'c', '0', 'b', '0', 'a', integer(time), 'x', '0')
  redis.call('PEXPIRE', KEYS[1], integer(expiry))
  return {candidate, 1, 0, {}}
end
if time > now then now = time end
-- The topic is in use, so that its epoch must not end.
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left < expiry / 2 then redis.call('PEXPIRE', KEYS[1], integer(expiry)) end

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
local epoch = redis.call('HGET', KEYS[1], 'e')
if epoch ~= ARGV[1] then return epoch end
redis.call('HSET', KEYS[1], 'e', ARGV[2])
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
