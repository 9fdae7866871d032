/** Source text with each character of its comments and strings replaced by a space, so that offsets stay the same. */

const COMMENT = /\/\*[\s\S]*?\*\/|\/\/.*/y;
const STRING = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/y;
// A slash begins a pattern where a value is expected, and divides elsewhere.
const PATTERN = /(?<=(?:[=(,:;!&|?{}[>]|\breturn|^)\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/\w*/my;
const TEMPLATE = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*/y;

/** With `strings: false` comments alone are taken out. */
export function blanked(source: string, { strings = true }: { readonly strings?: boolean } = {}): string {
  let code = "";
  // How many braces are open in each `${` that we are inside of.
  const braces: number[] = [];
  const at = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = code.length;
    return pattern.exec(source)?.[0];
  };
  const literal = (text: string): string => (strings ? spaces(text) : text);
  const template = (): void => {
    code += literal(at(TEMPLATE) ?? "");
    const opens = source.startsWith("${", code.length);
    code += source.slice(code.length, code.length + (opens ? 2 : 1));
    if (opens) braces.push(0);
  };
  while (code.length < source.length) {
    const comment = at(COMMENT);
    const string = at(STRING);
    const pattern = at(PATTERN);
    if (comment !== undefined) code += spaces(comment);
    else if (string !== undefined) code += `${string[0]}${literal(string.slice(1, -1))}${string[0]}`;
    else if (pattern !== undefined) code += literal(pattern);
    else {
      const character = source[code.length] as string;
      const open = braces.at(-1);
      code += character;
      if (character === "`") template();
      else if (character === "{" && open !== undefined) braces[braces.length - 1] = open + 1;
      else if (character === "}" && open === 0) {
        braces.pop();
        template();
      } else if (character === "}" && open !== undefined) braces[braces.length - 1] = open - 1;
    }
  }
  return code;
}

function spaces(text: string): string {
  return text.replace(/[^\n]/g, " ");
}
