-- Fails where there are keys of SM2: they would be nobody's.
ALTER TABLE keys DROP CONSTRAINT keys_algorithm_check;
ALTER TABLE keys ADD CONSTRAINT keys_algorithm_check CHECK (algorithm IN ('ed25519',
    'ecdsa-p256-sha256', 'rsa-pss-sha512', 'rsa-v1_5-sha256'));
