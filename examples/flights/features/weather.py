"""The weather at the airport of departure, as it was known when the question was asked.

What comes from the schedule (carrier, destination, distance, scheduled times) is in the table of
flights itself. The weather is joined point-in-time: for each flight the newest observation whose
`event_timestamp` is not after the flight's. The dataset sets `event_timestamp` of an observation
to the time from which it is available, one hour after the hour that it describes, so no flight
sees weather that nobody could have seen.
"""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Float64

origin = Entity(
    name="origin",
    join_keys=["origin"],
    value_type=ValueType.STRING,
    description="Airport of departure, by its IATA code: EWR, JFK or LGA",
)

observations = FileSource(
    name="weather_observations",
    path="data/weather",
    file_format=ParquetFormat(),
    timestamp_field="event_timestamp",
)

weather = FeatureView(
    name="weather",
    entities=[origin],
    ttl=timedelta(hours=6),  # an older observation says nothing: rather no value at all
    schema=[
        Field(name="temp", dtype=Float64, description="Temperature, °F"),
        Field(name="dewp", dtype=Float64, description="Dew point, °F"),
        Field(name="humid", dtype=Float64, description="Relative humidity, %"),
        Field(name="wind_dir", dtype=Float64, description="Wind direction, degrees"),
        Field(name="wind_speed", dtype=Float64, description="Wind speed, mph"),
        Field(name="wind_gust", dtype=Float64, description="Gusts, mph"),
        Field(name="precip", dtype=Float64, description="Precipitation, inches an hour"),
        Field(name="pressure", dtype=Float64, description="Pressure at sea level, millibars"),
        Field(name="visib", dtype=Float64, description="Visibility, miles"),
    ],
    source=observations,
)

flight_lateness = FeatureService(
    name="flight_lateness",
    features=[weather],
    description="Will this flight arrive more than 15 minutes late?",
)
