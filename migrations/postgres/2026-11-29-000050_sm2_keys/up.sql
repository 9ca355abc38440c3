-- Keys may be for SM2 with SM3 as well. The SQLite twin makes the table anew.

ALTER TABLE keys DROP CONSTRAINT keys_algorithm_check;
ALTER TABLE keys ADD CONSTRAINT keys_algorithm_check CHECK (algorithm IN ('ed25519',
    'ecdsa-p256-sha256', 'rsa-pss-sha512', 'rsa-v1_5-sha256', 'sm2-sm3'));
