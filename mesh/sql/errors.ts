/**
 * What an error of a statement or a connection means for the transaction it happened in: one table, because everything
 * that decides whether to try again reads it. Codes and measurements behind them: docs/sql.md.
 */

/**
 * How far a transaction had come: nothing was sent yet, its statements were, or its COMMIT was (for a statement outside
 * of a transaction, which commits itself: the statement).
 */
export type Phase = "unsent" | "sent" | "committing";

/**
 * - `not_executed`: the server did not do it. Any statement may be tried again, on the writer that is found then.
 * - `rolled_back`: the server undid the transaction. Try all of it again, a few times.
 * - `lost`: the connection is gone, and the transaction with it. Try again on the writer that is found then.
 * - `unknown`: it was lost while committing. Only something that was written in the same transaction can tell.
 * - `refused`: the server does not let this account in, or lacks the schema.
 * - `too_large`: the transaction is too large for the group to carry.
 * - `caller`: the statement is wrong, or a constraint does not hold. Trying again gives the same.
 */
export type ErrorClass =
  "not_executed" | "rolled_back" | "lost" | "unknown" | "refused" | "too_large" | "caller";

/** Codes that Heddle's own connections give errors that do not come from the server. */
export const ACQUIRE_TIMEOUT = "ACQUIRE_TIMEOUT";
/** A statement got no answer in time; it was killed and its connection dropped. */
export const STATEMENT_TIMEOUT = "STATEMENT_TIMEOUT";
/** The connection was closed before the statement could be sent. */
export const CONNECTION_CLOSED = "CONNECTION_CLOSED";

/** The session has no transaction any more although it should; what ran last may have committed by itself. */
export const TRANSACTION_GONE = "TRANSACTION_GONE";

/** One line of the table. */
export interface ErrorRule {
  /** `errno` of the server, or `code` of the client. */
  readonly code: number | string;
  readonly name: string;
  readonly class: ErrorClass;
}

/** What each error means before COMMIT is sent. After that, whatever is `lost` here is `unknown`. */
export const errorRules: readonly ErrorRule[] = [
  { code: 1290, name: "ER_OPTION_PREVENTS_STATEMENT (read only)", class: "not_executed" },
  { code: 1792, name: "ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION", class: "not_executed" },
  { code: 1836, name: "ER_READ_ONLY_MODE", class: "not_executed" },
  { code: 3032, name: "ER_SERVER_OFFLINE_MODE", class: "not_executed" },
  { code: 1040, name: "ER_CON_COUNT_ERROR", class: "not_executed" },
  { code: 1203, name: "ER_TOO_MANY_USER_CONNECTIONS", class: "not_executed" },
  { code: 1226, name: "ER_USER_LIMIT_REACHED", class: "not_executed" },
  { code: 4094, name: "ER_OPERATION_NOT_ALLOWED_WHILE_PRIMARY_CHANGE_IS_RUNNING", class: "not_executed" },
  { code: 4031, name: "ER_CLIENT_INTERACTION_TIMEOUT (was idle too long)", class: "not_executed" },
  { code: "ECONNREFUSED", name: "nobody listens", class: "not_executed" },
  { code: "ETIMEDOUT", name: "connecting took too long", class: "not_executed" },
  { code: "EHOSTUNREACH", name: "no route to the host", class: "not_executed" },
  { code: "ENETUNREACH", name: "no route to the network", class: "not_executed" },
  { code: "ENOTFOUND", name: "the host name is not known", class: "not_executed" },
  { code: "EAI_AGAIN", name: "names cannot be resolved now", class: "not_executed" },
  { code: CONNECTION_CLOSED, name: "closed before it was sent", class: "not_executed" },
  { code: ACQUIRE_TIMEOUT, name: "no connection became free", class: "not_executed" },

  { code: 1213, name: "ER_LOCK_DEADLOCK", class: "rolled_back" },
  { code: 1205, name: "ER_LOCK_WAIT_TIMEOUT", class: "rolled_back" },
  { code: 3101, name: "ER_TRANSACTION_ROLLBACK_DURING_COMMIT (certification)", class: "rolled_back" },
  { code: 3796, name: "ER_GRP_TRX_CONSISTENCY_NOT_ALLOWED", class: "rolled_back" },
  { code: 3797, name: "ER_GRP_TRX_CONSISTENCY_BEFORE", class: "rolled_back" },

  { code: "PROTOCOL_CONNECTION_LOST", name: "the server closed the connection", class: "lost" },
  { code: "ECONNRESET", name: "connection reset", class: "lost" },
  { code: "EPIPE", name: "connection closed while sending", class: "lost" },
  { code: STATEMENT_TIMEOUT, name: "no answer in time", class: "lost" },
  { code: 1053, name: "ER_SERVER_SHUTDOWN", class: "lost" },
  { code: 1317, name: "ER_QUERY_INTERRUPTED (killed)", class: "lost" },
  { code: 1927, name: "ER_CONNECTION_KILLED", class: "lost" },
  { code: 3169, name: "ER_SESSION_WAS_KILLED", class: "lost" },
  // The member left its group while it committed; the group may have received the transaction nevertheless.
  { code: 3100, name: "ER_RUN_HOOK_ERROR, from a member that left its group", class: "lost" },

  { code: TRANSACTION_GONE, name: "a statement found no transaction to be part of", class: "unknown" },

  { code: 1044, name: "ER_DBACCESS_DENIED_ERROR", class: "refused" },
  { code: 1045, name: "ER_ACCESS_DENIED_ERROR", class: "refused" },
  { code: 1049, name: "ER_BAD_DB_ERROR", class: "refused" },
  { code: 1130, name: "ER_HOST_NOT_PRIVILEGED", class: "refused" },
  { code: 1698, name: "ER_ACCESS_DENIED_NO_PASSWORD_ERROR", class: "refused" },
  { code: 1862, name: "ER_MUST_CHANGE_PASSWORD_LOGIN", class: "refused" },
  { code: 3118, name: "ER_ACCOUNT_HAS_BEEN_LOCKED", class: "refused" },

  { code: 1062, name: "ER_DUP_ENTRY", class: "caller" },
  { code: 1064, name: "ER_PARSE_ERROR", class: "caller" },
  { code: 1146, name: "ER_NO_SUCH_TABLE", class: "caller" },
  { code: 1227, name: "ER_SPECIFIC_ACCESS_DENIED_ERROR", class: "caller" },
  { code: 1451, name: "ER_ROW_IS_REFERENCED_2", class: "caller" },
  { code: 1452, name: "ER_NO_REFERENCED_ROW_2", class: "caller" },
  { code: 1772, name: "ER_MALFORMED_GTID_SET_SPECIFICATION", class: "caller" },
  { code: 3098, name: "ER_BEFORE_DML_VALIDATION_ERROR (no primary key)", class: "caller" },
];

/** What else decides. */
export interface Circumstances {
  readonly phase: Phase;
  /** Whether the member is still a usable member of its group. */
  readonly healthy: boolean;
}

/** What an error means. Unknown codes of the server are the caller's; unknown errors of a connection are a loss. */
export function classifyError(error: SqlError, { phase, healthy }: Circumstances): ErrorClass {
  // A member that is still in its group gives 3100 only where it cannot send a transaction that is too large.
  if (error.errno === 3100 && healthy) return "too_large";
  const found = byCode.get(error.errno) ?? byCode.get(error.code) ?? (error.fatal ? "lost" : "caller");
  return found === "lost" && phase === "committing" ? "unknown" : found;
}

/** Any failure of a statement or a connection. Its text names the member, never a value of a parameter or a password. */
export class SqlError extends Error {
  /** Number of the server's error; 0 for one of the client. */
  readonly errno: number;
  /** Name of the error, such as `ER_DUP_ENTRY`. */
  readonly code: string;
  /** The member, `host:port`. */
  readonly member: string;
  /** The connection is no good any more. */
  readonly fatal: boolean;
  /** The beginning of the statement, with `?` for its parameters. */
  statement: string | undefined;

  constructor(member: string, parts: { errno?: number; code: string; message: string; fatal: boolean }) {
    super(`${member}: ${parts.message} (${parts.code})`);
    this.name = "SqlError";
    this.member = member;
    this.errno = parts.errno ?? 0;
    this.code = parts.code;
    this.fatal = parts.fatal;
  }

  /** Notes what was asked, and by whom: the stack becomes that of the function that awaits the answer. */
  locate(statement: string): void {
    this.statement = statement.slice(0, 200);
    Error.captureStackTrace(this);
  }
}

/** Whether a row with the same unique key is there already. */
export function isDuplicateKey(error: unknown): error is SqlError {
  return error instanceof SqlError && error.errno === 1062;
}

/** A lock was not to be had, because a write with the same idempotency key holds it: it is still deciding. */
export class KeyBusy extends SqlError {
  constructor({ member, errno, code, message }: SqlError) {
    super(member, { errno, code, message: message.slice(member.length + 2), fatal: false });
    this.name = "KeyBusy";
  }
}

/** Makes an error of the driver one of ours. */
export function sqlError(member: string, error: unknown): SqlError {
  if (error instanceof SqlError) return error;
  const { message, code, errno, fatal, sqlMessage } = error as DriverError;
  if (/closed state/.test(message)) {
    return new SqlError(member, {
      code: CONNECTION_CLOSED,
      message: "the connection is closed",
      fatal: true,
    });
  }
  const fromServer = sqlMessage !== undefined && typeof errno === "number";
  return new SqlError(member, {
    ...(fromServer && { errno }),
    code: code ?? "UNKNOWN",
    message: sqlMessage ?? message,
    fatal: fatal === true || !fromServer,
  });
}

/** What mysql2 throws. */
interface DriverError extends Error {
  readonly code?: string;
  readonly errno?: number;
  readonly fatal?: boolean;
  readonly sqlMessage?: string;
}

const byCode: ReadonlyMap<number | string, ErrorClass> = new Map(
  errorRules.map(({ code, class: found }) => [code, found]),
);
