DROP TABLE nonces;
DROP TABLE key_secrets;
DROP TABLE keys;
