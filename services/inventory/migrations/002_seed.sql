INSERT INTO products (sku, name, price_cents, initial, on_hand) VALUES
  ('calzone', 'Calzone', 1190, 100000, 100000),
  ('cola', 'Cola 0.33 l', 290, 100000, 100000),
  ('diavola', 'Pizza Diavola', 1150, 100000, 100000),
  ('funghi', 'Pizza Funghi', 1050, 100000, 100000),
  ('margherita', 'Pizza Margherita', 890, 100000, 100000),
  ('tiramisu', 'Tiramisu', 550, 100000, 100000),
  ('truffle', 'Pizza al Tartufo, only a few a day', 2490, 3, 3),
  ('water', 'Mineral water 0.5 l', 190, 100000, 100000);
