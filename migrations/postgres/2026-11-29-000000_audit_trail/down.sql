DROP TABLE refused_tries;
DROP TABLE settings_version;
DROP TABLE settings_in_force;
