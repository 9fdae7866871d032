/** Names of topics as tokens of NATS subjects, and the options of the broker. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type NatsBrokerOptions, natsBroker } from "../../src/broker/nats/index.ts";
import { natsSettings } from "../../src/broker/nats/options.ts";
import { Subjects, textOfToken, tokenOf } from "../../src/broker/nats/subjects.ts";

describe("a topic as a token", () => {
  it("is readable if the topic has letters, digits, _ and - only", () => {
    for (const name of ["room", "Room-7_b", "0"]) assert.equal(tokenOf(name), name);
    assert.equal(tokenOf("a.b *>\u0000ä="), "a=2Eb=20=2A=3E=00=C3=A4=3D");
  });

  it("has no character that subjects give a meaning to, and is the token of one topic only", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (name) => {
        const token = tokenOf(name);
        assert.match(token, /^[\w=-]+$/);
        assert.equal(textOfToken(token), name);
      }),
    );
  });

  it("is nothing else: other tokens are of no topic", () => {
    for (const token of ["=2e", "=41", "=", "=4", "=ZZ", "=FF", "a b"])
      assert.equal(textOfToken(token), undefined, token);
    const subjects = new Subjects("app");
    assert.equal(subjects.topicOfEpoch("app.epoch.a=2Eb"), "a.b");
    for (const subject of ["app.epoch.=2e", "other.epoch.a", "app.log.a"]) {
      assert.equal(subjects.topicOfEpoch(subject), undefined);
    }
  });
});

describe("the options of natsBroker", () => {
  it("are judged at the call", () => {
    const wrong: [unknown, unknown, RegExp][] = [
      [5, {}, /servers: expected a string, got number/],
      [[], {}, /servers: expected at least one/],
      ["redis://127.0.0.1", {}, /addresses such as nats:/],
      ["nats://", {}, /addresses such as nats:/],
      ["127.0.0.1", { prefix: "a b" }, /prefix "a b": expected tokens/],
      ["127.0.0.1", { prefix: "a." }, /prefix "a\.": expected tokens/],
      ["127.0.0.1", { log: "yes" }, /log: expected true or false/],
      ["127.0.0.1", { logs: true }, /option logs: there is no such option/],
      ["127.0.0.1", { maxInFlight: 0 }, /maxInFlight 0/],
      ["127.0.0.1", { stream: { messages: 0.5 } }, /stream\.messages 0\.5/],
      ["127.0.0.1", { stream: { age: 1_000 } }, /stream\.age 1000: expected 120000 ms or more/],
      ["127.0.0.1", { stream: { storage: "tape" } }, /stream\.storage "tape"/],
      ["127.0.0.1", { stream: { replicas: 6 } }, /stream\.replicas 6/],
      ["127.0.0.1", { stream: { max: 6 } }, /option stream\.max/],
      ["127.0.0.1", { stream: { name: "a.b" } }, /stream\.name "a\.b"/],
      [
        "127.0.0.1",
        { connection: { maxReconnectAttempts: 5 } },
        /connection\.maxReconnectAttempts: the broker decides/,
      ],
    ];
    for (const [servers, options, message] of wrong) {
      const call = (): unknown => natsBroker(servers as string, options as NatsBrokerOptions);
      assert.throws(call, (error: Error) => message.test(error.message) && /^(Type|Range)Error$/.test(error.name));
    }
  });

  it("take an explicit undefined as absent", () => {
    const stream = { name: undefined, messages: undefined };
    const options = { log: undefined, prefix: undefined, stream, connection: undefined };
    assert.deepEqual(natsSettings("127.0.0.1", options), natsSettings("127.0.0.1", {}));
  });

  it("take the login and TLS from the address, and do not show a wrong one with its password", () => {
    const { servers, connection } = natsSettings(["tls://me:s%40cret@host:4333", "[::1]:4222"], {});
    assert.deepEqual(servers, ["host:4333", "[::1]:4222"]);
    assert.deepEqual(connection, { user: "me", pass: "s@cret", tls: {} });
    assert.deepEqual(natsSettings("nats://token@host", { connection: { tls: { ca: "x" } } }).connection, {
      token: "token",
      tls: { ca: "x" },
    });
    assert.throws(
      () => natsSettings("http://me:secret@host", {}),
      (error: Error) => !error.message.includes("secret"),
    );
  });
});
