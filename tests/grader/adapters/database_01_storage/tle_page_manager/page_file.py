from meridian.database.storage.page_file import *  # noqa: F403
