-- One row for each write that happened under a key: mesh/sql/keyed.ts.
CREATE TABLE IF NOT EXISTS idempotency (
  scope VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  idempotency_key VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  fingerprint VARBINARY(32) NOT NULL,
  response MEDIUMBLOB,
  created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (scope, idempotency_key),
  KEY created_at (created_at)
);
