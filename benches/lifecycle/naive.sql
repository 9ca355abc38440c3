-- One payment's life as three transactions, one after the other: make the order, start the flow,
-- record the outcome. No HTTP, no GraphQL, no bank.
\set n random(1, 1000000000000)
\set m random(1, 1000)
BEGIN;
INSERT INTO naive_orders (order_no, merchant, request_no, biller, bill_no, amount, currency, state)
VALUES ('O' || :n || '-' || :client_id, :m, 'R' || :n || '-' || :client_id, 7, 'B123456789', 12345, 'CNY', 0);
COMMIT;
BEGIN;
UPDATE naive_orders SET state = 1, version = version + 1, updated_at = now()
WHERE order_no = 'O' || :n || '-' || :client_id AND state = 0;
INSERT INTO naive_flows (flow_no, order_no, kind, attempt, amount, state)
VALUES ('F' || :n || '-' || :client_id, 'O' || :n || '-' || :client_id, 0, 1, 12345, 0);
COMMIT;
BEGIN;
UPDATE naive_flows SET state = 1, code = '1', upstream_ref = 'U' || :n, updated_at = now()
WHERE flow_no = 'F' || :n || '-' || :client_id;
UPDATE naive_orders SET state = 2, version = version + 1, updated_at = now()
WHERE order_no = 'O' || :n || '-' || :client_id AND state = 1;
COMMIT;
