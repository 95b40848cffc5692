from meridian.database.storage.page import *  # noqa: F403
from meridian.database.storage.rid import *  # noqa: F403
