"""The domain that all tracks share: element sets, catalogues, and where objects are.

`tle` (records, arrays, text, files), `epoch` (their times), `elements` (sizes and states of an
orbit), `catalog` (published and generated catalogues), `propagation` (SGP4), `screening` (who
flies at nearly one altitude), `framing` (payloads on a byte stream), `telemetry` (what a frame of a
satellite holds).
"""
