-- Per account, always: balance + held + captured = deposited.
CREATE TABLE accounts (
  account_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL PRIMARY KEY,
  balance_cents BIGINT NOT NULL DEFAULT 0 CHECK (balance_cents >= 0),
  held_cents BIGINT NOT NULL DEFAULT 0 CHECK (held_cents >= 0),
  captured_cents BIGINT NOT NULL DEFAULT 0 CHECK (captured_cents >= 0),
  deposited_cents BIGINT NOT NULL DEFAULT 0 CHECK (deposited_cents >= 0),
  disabled BOOLEAN NOT NULL DEFAULT FALSE
);

-- What an order holds, or has paid.
CREATE TABLE authorizations (
  order_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL PRIMARY KEY,
  account_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  amount_cents BIGINT NOT NULL CHECK (amount_cents >= 0),
  state ENUM('HELD', 'REVERSED', 'CAPTURED', 'REFUNDED') NOT NULL,
  FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);

-- Every movement of money, never changed: the columns of an account are its sums.
CREATE TABLE ledger (
  entry_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  account_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  order_id VARCHAR(64) COLLATE utf8mb4_0900_bin NULL,
  kind ENUM('DEPOSIT', 'HOLD', 'REVERSE', 'CAPTURE', 'REFUND') NOT NULL,
  amount_cents BIGINT NOT NULL CHECK (amount_cents >= 0),
  create_time TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  KEY (account_id, entry_id),
  FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);
