CREATE TABLE consumers (
  consumer_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL PRIMARY KEY,
  name VARCHAR(200) NOT NULL,
  order_limit_cents BIGINT NOT NULL CHECK (order_limit_cents > 0),
  create_time TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
);
