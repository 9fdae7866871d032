import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  answerDeflate,
  type DeflateTerms,
  judgeDeflate,
  offerDeflate,
} from "../../../src/engine/deflate/negotiation.ts";
import { formatExtensions, parseExtensions, type ReceivedExtension } from "../../../src/engine/handshake/extension.ts";

const ANY: DeflateTerms = {
  serverContextTakeover: true,
  clientContextTakeover: true,
  serverWindowBits: 15,
  clientWindowBits: 15,
};
const NONE: DeflateTerms = { ...ANY, serverContextTakeover: false, clientContextTakeover: false };

const parsed = (value: string): readonly ReceivedExtension[] => {
  const extensions = parseExtensions(value);
  assert.ok(extensions, value);
  return extensions;
};

/** The value of a server's response field for the value of a request field. */
const answered = (field: string, terms: DeflateTerms = ANY): string => {
  const answer = answerDeflate(parsed(field), terms);
  return answer === undefined ? "declined" : formatExtensions([answer.extension]).replace("permessage-deflate", "pmd");
};

const judged = (answer: string, ...offers: readonly Partial<DeflateTerms>[]): DeflateTerms | string =>
  judgeDeflate(
    parsed(answer)[0] as ReceivedExtension,
    (offers.length > 0 ? offers : [{}]).map((offer) => ({ ...ANY, ...offer })),
  );

describe("an offer of permessage-deflate (RFC 7692 7.1)", () => {
  const offers: readonly (readonly [offer: string, answer: string, terms?: DeflateTerms])[] = [
    ["permessage-deflate", "pmd"],
    ["permessage-deflate; client_max_window_bits", "pmd"],
    ["permessage-deflate; client_max_window_bits=15", "pmd"],
    ["permessage-deflate; client_max_window_bits=10", "pmd; client_max_window_bits=10"],
    ["permessage-deflate; client_max_window_bits=8", "pmd; client_max_window_bits=8"],
    ["permessage-deflate; server_max_window_bits=15", "pmd; server_max_window_bits=15"],
    ["permessage-deflate; server_max_window_bits=8", "pmd; server_max_window_bits=8"],
    ['permessage-deflate; server_max_window_bits="9"', "pmd; server_max_window_bits=9"],
    ["permessage-deflate; server_no_context_takeover", "pmd; server_no_context_takeover"],
    ["permessage-deflate; client_no_context_takeover", "pmd; client_no_context_takeover"],
    ["permessage-deflate", "pmd; server_no_context_takeover; client_no_context_takeover", NONE],
    ["permessage-deflate", "pmd; server_max_window_bits=9", { ...ANY, serverWindowBits: 9 }],
    ["permessage-deflate; server_max_window_bits=12", "pmd; server_max_window_bits=9", { ...ANY, serverWindowBits: 9 }],
    ["permessage-deflate; server_max_window_bits=8", "pmd; server_max_window_bits=8", { ...ANY, serverWindowBits: 9 }],
    ["permessage-deflate; client_max_window_bits", "pmd; client_max_window_bits=9", { ...ANY, clientWindowBits: 9 }],
    ["permessage-deflate; client_max_window_bits=8", "pmd; client_max_window_bits=8", { ...ANY, clientWindowBits: 9 }],
    // 7.1.2.2: a server may limit the window only of a client that has offered client_max_window_bits.
    ["permessage-deflate", "declined", { ...ANY, clientWindowBits: 9 }],
    [
      "permessage-deflate; client_no_context_takeover",
      "pmd; client_no_context_takeover",
      { ...ANY, clientWindowBits: 9 },
    ],
    // 7.1: an unknown, invalid or repeated parameter declines its offer, and the next offer is used.
    ["permessage-deflate; unknown", "declined"],
    ["permessage-deflate; server_no_context_takeover=1", "declined"],
    ["permessage-deflate; client_no_context_takeover=true", "declined"],
    ["permessage-deflate; server_max_window_bits", "declined"],
    ["permessage-deflate; server_max_window_bits=7", "declined"],
    ["permessage-deflate; server_max_window_bits=16", "declined"],
    ["permessage-deflate; server_max_window_bits=08", "declined"],
    ["permessage-deflate; client_max_window_bits=7", "declined"],
    ["permessage-deflate; client_max_window_bits=015", "declined"],
    ["permessage-deflate; client_max_window_bits=ten", "declined"],
    ["permessage-deflate; client_max_window_bits; client_max_window_bits", "declined"],
    ["permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", "declined"],
    ["x-webkit-deflate-frame", "declined"],
    ["permessage-deflate; server_max_window_bits=99, permessage-deflate", "pmd"],
    [
      "x-other, permessage-deflate; bogus=1, permessage-deflate; server_max_window_bits=10",
      "pmd; server_max_window_bits=10",
    ],
    ["permessage-deflate; server_max_window_bits=10, permessage-deflate", "pmd; server_max_window_bits=10"],
  ];
  for (const [offer, answer, terms] of offers) {
    it(`${offer} is answered with ${answer}${terms === undefined ? "" : ` by ${JSON.stringify(terms)}`}`, () => {
      assert.equal(answered(offer, terms), answer);
    });
  }
});

describe("an answer of permessage-deflate", () => {
  it("agrees on its parameters", () => {
    assert.deepEqual(judged("permessage-deflate"), ANY);
    assert.deepEqual(judged("permessage-deflate; server_no_context_takeover; client_no_context_takeover"), NONE);
    assert.deepEqual(judged("permessage-deflate; server_max_window_bits=9; client_max_window_bits=8"), {
      ...ANY,
      serverWindowBits: 9,
      clientWindowBits: 8,
    });
  });

  it("need not repeat the client's own parameters", () => {
    const offer = { clientContextTakeover: false, clientWindowBits: 9 };
    assert.deepEqual(judged("permessage-deflate", offer), { ...ANY, ...offer });
  });

  it("may answer any of the offers", () => {
    const strict = { serverContextTakeover: false, serverWindowBits: 9 };
    assert.deepEqual(judged("permessage-deflate", strict, {}), ANY);
  });

  const wrong: readonly (readonly [answer: string, problem: RegExp, ...offers: Partial<DeflateTerms>[]])[] = [
    ["permessage-deflate; unknown", /parameter/],
    ["permessage-deflate; server_max_window_bits=99", /parameter/],
    ["permessage-deflate; server_max_window_bits=09", /parameter/],
    ["permessage-deflate; client_max_window_bits", /parameter/],
    ["permessage-deflate; server_no_context_takeover; server_no_context_takeover", /parameter/],
    ["permessage-deflate", /did not agree to server_no_context_takeover/, { serverContextTakeover: false }],
    ["permessage-deflate", /server_max_window_bits of 15, where at most 10/, { serverWindowBits: 10 }],
    ["permessage-deflate; server_max_window_bits=11", /of 11, where at most 10/, { serverWindowBits: 10 }],
    ["permessage-deflate; client_max_window_bits=11", /of 11, where at most 10/, { clientWindowBits: 10 }],
    ["permessage-deflate", /did not agree/, { serverContextTakeover: false }, { serverWindowBits: 9 }],
  ];
  for (const [answer, problem, ...offers] of wrong) {
    it(`${answer} is no valid answer to ${JSON.stringify(offers)}`, () => {
      assert.match(String(judged(answer, ...offers)), problem);
    });
  }
});

it("of a server is accepted by the client that offered, with the same parameters on both sides", () => {
  const bits = fc.integer({ min: 8, max: 15 });
  const terms = fc.record({
    serverContextTakeover: fc.boolean(),
    clientContextTakeover: fc.boolean(),
    serverWindowBits: bits,
    clientWindowBits: bits,
  });
  fc.assert(
    fc.property(fc.array(terms, { minLength: 1, maxLength: 3 }), terms, (offers, server) => {
      const answer = answerDeflate(parsed(formatExtensions(offers.map(offerDeflate))), server);
      assert.ok(answer);
      const agreed = judgeDeflate(parsed(formatExtensions([answer.extension]))[0] as ReceivedExtension, offers);
      assert.deepEqual(agreed, answer.agreement);
      assert.ok(answer.agreement.serverWindowBits <= server.serverWindowBits);
      assert.ok(answer.agreement.clientWindowBits <= server.clientWindowBits);
    }),
  );
});
