-- lock_saga_id: the saga that is changing the order. Set exactly in the states that end in _PENDING.
CREATE TABLE orders (
  order_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL PRIMARY KEY,
  consumer_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  kitchen_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  state ENUM('APPROVAL_PENDING', 'APPROVED', 'REJECTED', 'CANCEL_PENDING', 'CANCELLED') NOT NULL,
  reason VARCHAR(64) NOT NULL DEFAULT '',
  total_cents BIGINT NOT NULL CHECK (total_cents >= 0),
  sequence INT NOT NULL,
  lock_saga_id VARCHAR(128) COLLATE utf8mb4_0900_bin NULL,
  create_time TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  update_time TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  KEY (consumer_id, order_id),
  CHECK ((lock_saga_id IS NOT NULL) = (state IN ('APPROVAL_PENDING', 'CANCEL_PENDING')))
);

CREATE TABLE order_lines (
  order_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  line_number INT NOT NULL,
  sku VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  quantity INT NOT NULL CHECK (quantity > 0),
  price_cents BIGINT NOT NULL CHECK (price_cents >= 0),
  PRIMARY KEY (order_id, line_number),
  FOREIGN KEY (order_id) REFERENCES orders (order_id)
);

-- Every change of state, never changed.
CREATE TABLE order_transitions (
  order_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  sequence INT NOT NULL,
  state ENUM('APPROVAL_PENDING', 'APPROVED', 'REJECTED', 'CANCEL_PENDING', 'CANCELLED') NOT NULL,
  reason VARCHAR(64) NOT NULL DEFAULT '',
  time TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (order_id, sequence),
  FOREIGN KEY (order_id) REFERENCES orders (order_id)
);
