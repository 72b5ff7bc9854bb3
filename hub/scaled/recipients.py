"""What the database knows of those messages go to."""

from hub.sending import Recipients
from hub.store.postgres.contacts import PostgresContacts
from hub.store.postgres.database import Database
from hub.store.postgres.devices import PostgresDevices
from hub.store.postgres.messages import PostgresMessages
from hub.store.postgres.switches import PUSHED, PostgresSwitches


def recipients_in(database: Database) -> Recipients:
    contacts = PostgresContacts(database)
    return Recipients(
        contacts,
        contacts,
        PostgresMessages(database),
        PostgresDevices(database),
        PostgresSwitches(database, PUSHED),
    )
