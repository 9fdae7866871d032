/**
 * Type-checks a project under many settings with one compiler: it parses each file once, which takes most of the time of `tsc`.
 * Arguments: the folder of the compiler, and the paths of the configurations. Prints what is wrong.
 *
 * Judges the files of the project and of the package. Those of TypeScript and of `@types/node` do not change by settings.
 */

import { createRequire } from "node:module";
import { dirname } from "node:path";

/** The part of TypeScript's interface that is used. It has no `TypeScript` in common over all versions from 5.4 on. */
interface Compiler {
  readonly sys: { readFile(path: string): string | undefined };
  readConfigFile(path: string, read: (path: string) => string | undefined): { config: unknown };
  parseJsonConfigFileContent(config: unknown, sys: unknown, folder: string): Parsed;
  createCompilerHost(options: unknown): Host;
  createProgram(files: readonly string[], options: unknown, host: Host): Program;
  formatDiagnostics(found: readonly unknown[], host: Host): string;
}
interface Parsed {
  readonly fileNames: readonly string[];
  readonly options: unknown;
  readonly errors: readonly unknown[];
}
interface Host {
  getSourceFile(path: string, target: unknown, ...rest: unknown[]): SourceFile | undefined;
}
interface SourceFile {
  readonly fileName: string;
}
interface Program {
  getSourceFiles(): readonly SourceFile[];
  getOptionsDiagnostics(): readonly unknown[];
  getSyntacticDiagnostics(file: SourceFile): readonly unknown[];
  getSemanticDiagnostics(file: SourceFile): readonly unknown[];
}

const [compiler = "", ...configs] = process.argv.slice(2);
const ts = createRequire(import.meta.url)(compiler) as Compiler;
const parsedFiles = new Map<string, SourceFile | undefined>();

for (const path of configs) {
  const parsed = ts.parseJsonConfigFileContent(ts.readConfigFile(path, ts.sys.readFile).config, ts.sys, dirname(path));
  const host = ts.createCompilerHost(parsed.options);
  const parse = host.getSourceFile.bind(host);
  host.getSourceFile = (file, target, ...rest) => {
    const key = `${file} ${JSON.stringify(target)}`;
    if (!parsedFiles.has(key)) parsedFiles.set(key, parse(file, target, ...rest));
    return parsedFiles.get(key);
  };
  const program = ts.createProgram(parsed.fileNames, parsed.options, host);
  const ours = program.getSourceFiles().filter(({ fileName }) => {
    return fileName.includes("/node_modules/holdfast/") || !fileName.includes("/node_modules/");
  });
  const found = ours.flatMap((file) => [
    ...program.getSyntacticDiagnostics(file),
    ...program.getSemanticDiagnostics(file),
  ]);
  const all = [...parsed.errors, ...program.getOptionsDiagnostics(), ...found];
  if (all.length > 0) console.log(`${path}\n${ts.formatDiagnostics(all, { ...host })}`);
}
