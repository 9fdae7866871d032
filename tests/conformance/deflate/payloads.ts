/** The content of the messages of sections 12 and 13: text, a picture, a document, JSON and HTML, the same in every run. */

const SIZE = 400_000;

/** Numbers from 0 to `below`, the same for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    // The generator of Numerical Recipes. Its high bits are random enough for a text.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const WORDS =
  "der die und ist nicht ein in zu den das sich des mit dem von auf Faust Geist Welt Teufel Licht Stunde bricht Herz Feuer".split(
    " ",
  );

function until(size: number, piece: (index: number) => string): Buffer {
  const pieces: string[] = [];
  for (let length = 0, index = 0; length < size; index += 1) {
    const next = piece(index);
    pieces.push(next);
    length += next.length;
  }
  return Buffer.from(pieces.join(""), "latin1").subarray(0, size);
}

function text(): Buffer {
  const next = numbers(1);
  return until(SIZE, (index) => `${WORDS[next(WORDS.length)]}${index % 9 === 8 ? ",\n" : " "}`);
}

/** Grey levels that change slowly, with noise in their lowest bits. */
function bitmap(): Buffer {
  const next = numbers(2);
  return Buffer.from(
    Array.from({ length: SIZE }, (_, at) => 128 + 90 * Math.sin((at % 512) / 80) * Math.cos(at / 40_000) + next(4)),
  );
}

/** Text objects between streams that are already compressed. */
function pdf(): Buffer {
  const next = numbers(3);
  return until(SIZE, (index) => {
    const stream = Array.from({ length: 600 }, () => String.fromCharCode(next(256))).join("");
    return `${index} 0 obj\n<< /Length 600 /Filter /FlateDecode >>\nstream\n${stream}\nendstream\nendobj\n`;
  });
}

function json(): Buffer {
  const next = numbers(4);
  return until(SIZE, (id) => {
    const name = WORDS[next(WORDS.length)];
    return `${JSON.stringify({ id, name, price: next(100_000) / 100, tags: [WORDS[next(9)], name], active: next(2) === 1 })},\n`;
  });
}

function html(): Buffer {
  const next = numbers(5);
  const row = (): string => `<td class="cell c${next(9)}">${WORDS[next(WORDS.length)]} ${next(1_000)}</td>`;
  return until(SIZE, (index) => `<tr id="row-${index}">${row()}${row()}${row()}</tr>\n`);
}

export interface Payload {
  readonly what: string;
  readonly opcode: 1 | 2;
  readonly bytes: Buffer;
  /** True if deflate always makes it smaller. */
  readonly soft: boolean;
}

/** In the order of the testsuite's list. */
export const PAYLOADS: readonly Payload[] = [
  { what: "a German text", opcode: 2, bytes: text(), soft: true },
  { what: "a picture", opcode: 2, bytes: bitmap(), soft: false },
  { what: "a document", opcode: 2, bytes: pdf(), soft: false },
  { what: "JSON", opcode: 1, bytes: json(), soft: true },
  { what: "HTML", opcode: 1, bytes: html(), soft: true },
];

/** Message number `index` of `size` bytes: consecutive parts of the content, from the beginning again after the end. */
export function part({ bytes }: Payload, size: number, index: number): Buffer {
  const from = (index * size) % bytes.length;
  const rest = bytes.subarray(from, from + size);
  return rest.length === size ? rest : Buffer.concat([rest, bytes.subarray(0, size - rest.length)]);
}
