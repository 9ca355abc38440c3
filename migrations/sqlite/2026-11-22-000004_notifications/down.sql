DROP TABLE notification_tries;
DROP TABLE notifications;
