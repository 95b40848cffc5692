from meridian.database.storage.buffer_pool import *  # noqa: F403
