from meridian.orbital.tle import TleRecord as TleRecord
