/**
 * Lets the fuzzer's library load where the system's C library is older than the one that it was built against.
 *
 * The library is prebuilt for glibc 2.38, and Debian 12 has 2.36. Three functions make the difference, and for what they are
 * used here each has an older name: two differ only in that they also read binary numbers, and the third makes std::cout
 * ready, which the other does as well. So their names are exchanged, and the two versions that nothing else needs are marked
 * as weak, which the loader passes over. Whoever has a newer system never comes here.
 */

const OLDER = {
  __isoc23_strtol: "strtol",
  __isoc23_strtoul: "strtoul",
  _ZSt21ios_base_library_initv: "_ZNSt8ios_base4InitC1Ev",
};
const TOO_NEW = ["GLIBC_2.38", "GLIBCXX_3.4.32"];

// Of the ELF specification and its GNU extension for versions of symbols.
const DYNAMIC_SYMBOLS = 11;
const VERSIONS = 0x6fffffff;
const NEEDED_VERSIONS = 0x6ffffffe;
const ANY_VERSION = 1;
const WEAK = 2;
const SYMBOL = 24;

/** A copy of a 64-bit little-endian ELF file that asks for no more than glibc 2.36. */
export function loosen(file) {
  const elf = Buffer.from(file);
  const sections = sectionsOf(elf);
  const symbols = sections.find(({ type }) => type === DYNAMIC_SYMBOLS);
  const versions = sections.find(({ type }) => type === VERSIONS);
  const needed = sections.find(({ type }) => type === NEEDED_VERSIONS);
  const names = sections[symbols.link].offset;
  const nameAt = (index) => elf.toString("latin1", names + index, elf.indexOf(0, names + index));

  for (let index = 0; index * SYMBOL < symbols.size; index += 1) {
    const name = elf.readUInt32LE(symbols.offset + index * SYMBOL);
    const older = OLDER[nameAt(name)];
    if (older === undefined) continue;
    elf.write(`${older}\0`, names + name, "latin1");
    elf.writeUInt16LE(ANY_VERSION, versions.offset + index * 2);
  }
  let library = needed.offset;
  for (let count = 0; count < needed.info; count += 1) {
    let version = library + elf.readUInt32LE(library + 8);
    for (let left = elf.readUInt16LE(library + 2); left > 0; left -= 1) {
      const flags = version + 4;
      if (TOO_NEW.includes(nameAt(elf.readUInt32LE(version + 8))))
        elf.writeUInt16LE(elf.readUInt16LE(flags) | WEAK, flags);
      version += elf.readUInt32LE(version + 12);
    }
    library += elf.readUInt32LE(library + 12);
  }
  return elf;
}

function sectionsOf(elf) {
  const [table, size, count] = [Number(elf.readBigUInt64LE(40)), elf.readUInt16LE(58), elf.readUInt16LE(60)];
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * size;
    return {
      type: elf.readUInt32LE(at + 4),
      offset: Number(elf.readBigUInt64LE(at + 24)),
      size: Number(elf.readBigUInt64LE(at + 32)),
      link: elf.readUInt32LE(at + 40),
      info: elf.readUInt32LE(at + 44),
    };
  });
}
