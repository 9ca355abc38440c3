DROP TABLE partner_looks;
