-- One row for each operation of a saga's step that a participant has decided: mesh/saga/participant.ts.
CREATE TABLE IF NOT EXISTS barrier (
  saga_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  step VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  operation VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  outcome ENUM('done', 'rejected', 'undone') NOT NULL,
  fingerprint VARBINARY(32) NOT NULL,
  response MEDIUMBLOB,
  created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (saga_id, step, operation),
  KEY created_at (created_at)
);
