-- Per product, always: on_hand + reserved + sold = initial + restocked.
CREATE TABLE products (
  sku VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL PRIMARY KEY,
  name VARCHAR(200) NOT NULL,
  price_cents BIGINT NOT NULL CHECK (price_cents >= 0),
  initial INT NOT NULL CHECK (initial >= 0),
  restocked INT NOT NULL DEFAULT 0 CHECK (restocked >= 0),
  on_hand INT NOT NULL CHECK (on_hand >= 0),
  reserved INT NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  sold INT NOT NULL DEFAULT 0 CHECK (sold >= 0)
);

-- What an order holds or has bought. One row a line.
CREATE TABLE reservations (
  order_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  sku VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  quantity INT NOT NULL CHECK (quantity > 0),
  state ENUM('RESERVED', 'RELEASED', 'SOLD', 'RETURNED') NOT NULL,
  PRIMARY KEY (order_id, sku),
  FOREIGN KEY (sku) REFERENCES products (sku)
);
