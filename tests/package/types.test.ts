/** The declarations of the packed package, in every TypeScript from 5.4 on, with every way to resolve modules. */

import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { addFiles, pack, project, ROOT, run } from "./packed.ts";

/** Each version is fetched by `npm run peers`; the newest is the one that builds the package. */
const VERSIONS = ["5.4", "5.5", "5.6", "5.7", "5.8", "5.9", "6.0", "7.0"] as const;
const RESOLUTIONS = ["node10", "node16", "nodenext", "bundler"] as const;

interface Setting {
  readonly resolution: (typeof RESOLUTIONS)[number];
  /** Whether the project has `@types/node`. Without it, the global classes are those of the library `dom`. */
  readonly node: boolean;
  readonly skipLibCheck: boolean;
}

const SETTINGS: readonly Setting[] = RESOLUTIONS.flatMap((resolution) =>
  [true, false].map((node) => ({ resolution, node, skipLibCheck: false })),
).concat(
  // The compiler then reports fewer errors, and in the declarations none: so a type of theirs that is wrong is `any` in silence.
  [true, false].map((node) => ({ resolution: "nodenext", node, skipLibCheck: true })),
);

const PROGRAM = readFileSync(join(ROOT, "tests/package/program.ts"), "utf8");
/** What only a program with the types of Node can write. */
const WITH_NODE = `
import { createServer, type IncomingMessage } from "node:http";
import { attach } from "holdfast";

export const attached = attach(createServer(), {
  authorize: ({ raw }) => ({ raw }),
  open: (connection) => {
    const raw: IncomingMessage | undefined = connection.data.raw;
    // @ts-expect-error: the request is not \`any\`.
    const wrong: number = connection.data.raw;
    return void [raw, wrong];
  },
});
`;

async function byInterface(compiler: string, configs: readonly string[]): Promise<string> {
  return run(process.execPath, [join(ROOT, ".build/tests/package/compiler-program.js"), compiler, ...configs], ROOT);
}

/** TypeScript 7 has no interface for programs yet, and is fast enough without. */
async function byCommand(compiler: string, configs: readonly string[]): Promise<string> {
  const said: string[] = [];
  for (const config of configs) {
    const checked = run(process.execPath, [join(compiler, "bin/tsc"), "-p", config], ROOT);
    said.push(await checked.catch((error: Error) => error.message));
  }
  return said.join("");
}

const compilerOf = (version: string): string => {
  const own = join(ROOT, "node_modules/typescript");
  if (JSON.parse(readFileSync(join(own, "package.json"), "utf8")).version.startsWith(`${version}.`)) return own;
  return join(ROOT, `.cache/peers/node_modules/typescript-${version}`);
};

function configOf({ resolution, node, skipLibCheck }: Setting, version: string): string {
  const module = { node10: "esnext", node16: "node16", nodenext: "nodenext", bundler: "esnext" }[resolution];
  const deprecated = resolution === "node10" && version === "6.0" ? { ignoreDeprecations: "6.0" } : {};
  return JSON.stringify({
    compilerOptions: {
      ...{ module, moduleResolution: resolution, target: "es2022", strict: true, noEmit: true, skipLibCheck },
      ...(node ? { lib: ["es2022"], types: ["node"] } : { lib: ["es2022", "dom", "dom.asynciterable"], types: [] }),
      ...deprecated,
    },
    files: node ? ["program.ts", "node.ts"] : ["program.ts"],
  });
}

/** Whether a version of TypeScript still has this setting. */
const offered = ({ resolution }: Setting, version: string): boolean => resolution !== "node10" || version !== "7.0";

describe("the declarations of the packed package", { concurrency: Math.min(2, availableParallelism()) }, () => {
  let packed: Promise<readonly [with_: string, without: string]> | undefined;
  /** Two projects: with the types of Node, and without them. */
  const projects = async (): Promise<readonly [string, string]> => {
    const tarball = await pack();
    const [withNode, without] = [await project(tarball, {}), await project(tarball, {})];
    for (const name of ["@types/node", "undici-types"]) {
      const from = [join(ROOT, "node_modules", name), join(ROOT, "node_modules/@types/node/node_modules", name)];
      cpSync(from.find(existsSync) ?? "", join(withNode, "node_modules", name), { recursive: true });
    }
    for (const folder of [withNode, without]) addFiles(folder, { "program.ts": PROGRAM, "node.ts": WITH_NODE });
    return [withNode, without];
  };

  for (const version of VERSIONS) {
    it(`are valid for TypeScript ${version}`, async (t) => {
      const compiler = compilerOf(version);
      if (!existsSync(compiler)) {
        if (process.env["HOLDFAST_REQUIRE_ALL"] === "1") throw new Error("needs TypeScript: npm run peers");
        return t.skip(`needs TypeScript ${version}: npm run peers`);
      }
      packed ??= projects();
      const [withNode, without] = await packed;
      const configs = SETTINGS.filter((one) => offered(one, version)).map((setting) => {
        const folder = setting.node ? withNode : without;
        const config = `tsconfig.${version}.${Object.values(setting).join(".")}.json`;
        addFiles(folder, { [config]: configOf(setting, version) });
        return join(folder, config);
      });
      assert.equal(version === "7.0" ? await byCommand(compiler, configs) : await byInterface(compiler, configs), "");
      return undefined;
    });
  }
});
