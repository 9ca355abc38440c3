DROP TABLE settlement_summaries;
DROP TABLE statement_sums;
DROP TABLE statements;
DROP TABLE contracts;
DROP TABLE business_day_works;
DROP TABLE business_day_sums;
DROP TABLE business_days;
