"""A web application over `catgen.runs`: endpoints that take and give JSON, and a page that uses them.

An HTTP request becomes jobs (`requests`), these wait in a queue with a bound, and one thread that owns the device does
them, those of the same shape together (`worker`, `performing`). What the endpoints are stands in one table
(`endpoints`), of which the description, the checks of what is sent and the routes are made.
"""
