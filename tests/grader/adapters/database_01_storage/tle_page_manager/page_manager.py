from meridian.database.storage.page_manager import *  # noqa: F403
