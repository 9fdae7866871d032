/** How a client judges a response. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Extension } from "../../../src/engine/handshake/extension.ts";
import { type Agreement, judgeResponse, type ResponseFacts } from "../../../src/engine/handshake/response.ts";
import { runs } from "../../kit/random.ts";

const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const FIELDS: Readonly<Record<string, string>> = {
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Accept": ACCEPT,
};
const OFFER: Extension = { name: "permessage-deflate", params: new Map([["client_max_window_bits", true]]) };

type Changes = Partial<Omit<ResponseFacts, "rawHeaders" | "accept">> & {
  /** Fields that are changed (to one line or several), added, or removed (undefined). */
  readonly fields?: Readonly<Record<string, string | readonly string[] | undefined>>;
};

function response({ fields, ...changes }: Changes = {}): ResponseFacts {
  const rawHeaders = Object.entries({ ...FIELDS, ...fields }).flatMap(([name, value = []]) =>
    (typeof value === "string" ? [value] : value).flatMap((line) => [name, line]),
  );
  return { status: 101, rawHeaders, accept: ACCEPT, protocols: [], extensions: [], ...changes };
}

function agreed(changes?: Changes): Agreement {
  const judgement = judgeResponse(response(changes));
  assert.equal(judgement.agreed, true, judgement.agreed ? "" : judgement.problem);
  return judgement as Agreement;
}

function refused(changes: Changes, clause?: string): void {
  const judgement = judgeResponse(response(changes));
  assert.ok(!judgement.agreed, JSON.stringify(changes));
  assert.match(judgement.problem, /^\S.*[^.]$/);
  assert.equal(judgement.clause, clause ?? "RFC 6455 4.1");
}

describe("a response", () => {
  it("is accepted as in RFC 6455 section 1.3", () => {
    assert.deepEqual(agreed(), { agreed: true, protocol: "", extensions: [] });
    const protocols = ["chat", "superchat"];
    assert.equal(agreed({ protocols, fields: { "Sec-WebSocket-Protocol": "chat" } }).protocol, "chat");
  });

  it("is refused if its status is not 101, and the refusal has the status", () => {
    for (const status of [100, 200, 204, 301, 401, 404, 426, 500, 0]) {
      const judgement = judgeResponse(response({ status }));
      assert.ok(!judgement.agreed);
      assert.ok(judgement.problem.includes(String(status)));
      // A refusal violates no clause.
      assert.equal(judgement.clause, undefined);
    }
  });

  it("is refused when a field is malformed", () => {
    refused({ fields: { X: "a\r\nY: b" } }, "RFC 9110 5.5");
    refused({ fields: { "X Y": "a" } }, "RFC 9110 5.5");
  });

  it("has exactly websocket in Upgrade, in any case", () => {
    agreed({ fields: { Upgrade: "WebSocket" } });
    for (const Upgrade of [
      undefined,
      "",
      "h2c",
      "websocket, h2c",
      "websocket/13",
      "websockets",
      ["websocket", "websocket"],
    ]) {
      refused({ fields: { Upgrade } });
    }
  });

  it("has upgrade in Connection, in any case and among others", () => {
    agreed({ fields: { Connection: "upgrade" } });
    agreed({ fields: { Connection: "keep-alive, UPGRADE" } });
    agreed({ fields: { Connection: ["keep-alive", "Upgrade"] } });
    for (const Connection of [undefined, "", "close", "upgraded", "Upgrade x", '"Upgrade"'])
      refused({ fields: { Connection } });
  });

  it("has the one right Sec-WebSocket-Accept, once", () => {
    for (const accept of [
      undefined,
      "",
      "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=",
      ACCEPT.toLowerCase(),
      ACCEPT.slice(0, -1),
      `${ACCEPT}=`,
      `${ACCEPT}, ${ACCEPT}`,
      [ACCEPT, ACCEPT],
      ["x", ACCEPT],
    ]) {
      refused({ fields: { "Sec-WebSocket-Accept": accept } });
    }
  });

  it("may have a length or a coding, which have no meaning in a 101", () => {
    agreed({ fields: { "Content-Length": "5" } });
    agreed({ fields: { "Transfer-Encoding": "chunked" } });
  });

  it("is judged without an exception, for any fields", () => {
    const name = fc.constantFrom(...Object.keys(FIELDS), "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions");
    const value = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom(...Object.values(FIELDS)));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), (fields) => {
        judgeResponse({ ...response(), rawHeaders: fields.flat() });
        judgeResponse({ ...response(), rawHeaders: [...response().rawHeaders, ...fields.flat()] });
      }),
      runs(300),
    );
  });
});

describe("the subprotocol of a response", () => {
  const protocols = ["chat", "superchat"];

  it("may be absent, whatever was offered", () => {
    assert.equal(agreed({ protocols }).protocol, "");
  });

  it("is exactly one of the offered ones", () => {
    assert.equal(agreed({ protocols, fields: { "Sec-WebSocket-Protocol": "superchat" } }).protocol, "superchat");
    for (const value of ["other", "Chat", "", "chat, superchat", "chat;", "__proto__"]) {
      refused({ protocols, fields: { "Sec-WebSocket-Protocol": value } });
    }
    refused({ fields: { "Sec-WebSocket-Protocol": "chat" } });
    refused({ fields: { "Sec-WebSocket-Protocol": "" } });
  });

  it("is present once", () => {
    refused({ protocols, fields: { "Sec-WebSocket-Protocol": ["chat", "chat"] } }, "RFC 6455 11.3.4");
    refused({ protocols, fields: { "Sec-WebSocket-Protocol": ["chat", "superchat"] } }, "RFC 6455 11.3.4");
  });
});

describe("the extensions of a response", () => {
  const extensions = [OFFER, { name: "foo", params: new Map() }];

  it("may be absent, whatever was offered", () => {
    assert.deepEqual(agreed({ extensions }).extensions, []);
  });

  it("are among the offered ones", () => {
    const value = "foo, permessage-deflate; client_max_window_bits=10; a; a=1";
    assert.deepEqual(agreed({ extensions, fields: { "Sec-WebSocket-Extensions": value } }).extensions, [
      { name: "foo", params: new Map(), repeated: false },
      {
        name: "permessage-deflate",
        params: new Map<string, string | true>([
          ["client_max_window_bits", "10"],
          ["a", true],
        ]),
        repeated: true,
      },
    ]);
    for (const value of ["bar", "foo, bar", "Foo", "constructor", "__proto__"]) {
      refused({ extensions, fields: { "Sec-WebSocket-Extensions": value } });
    }
    refused({ fields: { "Sec-WebSocket-Extensions": "permessage-deflate" } });
  });

  it("are in one field, which is well-formed", () => {
    refused({ extensions, fields: { "Sec-WebSocket-Extensions": ["foo", "permessage-deflate"] } }, "RFC 6455 11.3.2");
    for (const value of ["", ",", "foo;", "foo;a=", 'foo;a="']) {
      refused({ extensions, fields: { "Sec-WebSocket-Extensions": value } }, "RFC 6455 9.1");
    }
  });

  it("are each used once, even if offered in several forms", () => {
    const forms = [OFFER, OFFER];
    agreed({ extensions: forms, fields: { "Sec-WebSocket-Extensions": "permessage-deflate" } });
    refused(
      { extensions: forms, fields: { "Sec-WebSocket-Extensions": "permessage-deflate, permessage-deflate" } },
      "RFC 7692 5",
    );
  });
});
