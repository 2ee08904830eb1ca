/** Splits a `.sql` file into statements at semicolons, outside of quotes and comments. `DELIMITER` is not known. */

// In order: quoted text with backslash or doubled quotes, quoted names, comments to the end of the line, block comments.
const TOKENS =
  /'(?:[^'\\]|\\[^]|'')*'|"(?:[^"\\]|\\[^]|"")*"|`[^`]*`|(?:--(?=\s|$)|#)[^\n]*|\/\*[^]*?\*\/|;/g;

/** The statements of a file, trimmed, without those that are nothing but comments. */
export function splitStatements(text: string): readonly string[] {
  const statements: string[] = [];
  let begin = 0;
  const add = (end: number) => {
    const statement = text.slice(begin, end).trim();
    if (withoutComments(statement) !== "") statements.push(statement);
    begin = end + 1;
  };
  for (const { 0: token, index } of text.matchAll(TOKENS)) if (token === ";") add(index);
  add(text.length);
  return statements;
}

function withoutComments(statement: string): string {
  return statement.replace(TOKENS, (token) => (/^(--|#|\/\*(?!!))/.test(token) ? "" : token)).trim();
}
