DROP TABLE sessions;
DROP TABLE operators;
