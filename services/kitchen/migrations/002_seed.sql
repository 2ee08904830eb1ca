INSERT INTO kitchens (kitchen_id, open, capacity) VALUES
  ('main', TRUE, 100000),
  ('night', FALSE, 100),
  ('tiny', TRUE, 1);
