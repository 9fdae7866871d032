/** The known name that is most similar to a mistyped one. */

// In letters. A name with more differences is another name.
const MOST_EDITS = 2;

/** The name of `known` with the fewest letters to change; undefined if none is similar. */
export function nearest(typed: string, known: readonly string[]): string | undefined {
  const near = known
    .map((name) => ({ name, edits: editsBetween(typed, name) }))
    // A short name would be similar to every other short name.
    .filter(({ name, edits }) => edits <= Math.min(MOST_EDITS, Math.floor(name.length / 2)))
    .sort((one, other) => one.edits - other.edits);
  return near[0]?.name;
}

/** The number of letters to insert, remove, replace or exchange with their neighbour (optimal string alignment). */
function editsBetween(one: string, other: string): number {
  const rows = [Array.from({ length: other.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= one.length; row += 1) {
    const [above = [], current] = [rows[row - 1], [row]];
    for (let column = 1; column <= other.length; column += 1) {
      const same = one[row - 1] === other[column - 1];
      const replaced = (above[column - 1] ?? 0) + (same ? 0 : 1);
      const exchanged = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      const earlier = exchanged ? (rows[row - 2]?.[column - 2] ?? Infinity) + 1 : Infinity;
      current.push(Math.min(replaced, earlier, (above[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    rows.push(current);
  }
  return rows[one.length]?.[other.length] ?? Infinity;
}
