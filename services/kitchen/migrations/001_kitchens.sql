-- active_tickets counts the tickets of the kitchen that are not in a final state.
CREATE TABLE kitchens (
  kitchen_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL PRIMARY KEY,
  open BOOLEAN NOT NULL,
  capacity INT NOT NULL CHECK (capacity >= 0),
  active_tickets INT NOT NULL DEFAULT 0 CHECK (active_tickets >= 0)
);

-- lock_saga_id: the saga that is changing the ticket; previous_state: what it goes back to if that saga is undone.
CREATE TABLE tickets (
  ticket_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL PRIMARY KEY,
  kitchen_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  state ENUM(
    'CREATE_PENDING', 'CREATE_REJECTED', 'AWAITING_ACCEPTANCE', 'ACCEPTED', 'PREPARING', 'READY',
    'CANCEL_PENDING', 'CANCELLED'
  ) NOT NULL,
  previous_state ENUM('AWAITING_ACCEPTANCE', 'ACCEPTED') NULL,
  lock_saga_id VARCHAR(128) COLLATE utf8mb4_0900_bin NULL,
  create_time TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  FOREIGN KEY (kitchen_id) REFERENCES kitchens (kitchen_id)
);

CREATE TABLE ticket_lines (
  ticket_id VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  line_number INT NOT NULL,
  sku VARCHAR(64) COLLATE utf8mb4_0900_bin NOT NULL,
  quantity INT NOT NULL CHECK (quantity > 0),
  PRIMARY KEY (ticket_id, line_number),
  FOREIGN KEY (ticket_id) REFERENCES tickets (ticket_id)
);
