/** What code that uses the database is given. */
import type { Params } from "./connection.ts";

/** Something that can be asked. */
export interface Queryable {
  /** Runs a SELECT; `?` in it stand for `params`. Numbers beyond 2^53 come as strings, times as UTC Dates. */
  query<Row>(sql: string, params?: Params): Promise<Row[]>;
}

/** A transaction, READ COMMITTED. It is over when the function it was given to is. */
export interface Tx extends Queryable {
  /** Runs any other statement. `affectedRows` counts the rows that matched, changed or not. */
  execute(sql: string, params?: Params): Promise<Done>;
}

/** What a statement did. */
export interface Done {
  readonly affectedRows: number;
  /** The first AUTO_INCREMENT value that was made, or 0. */
  readonly insertId: number;
}
