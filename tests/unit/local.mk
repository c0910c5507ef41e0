# A room's tests link only its own and lower archives. Each room's lists stand together.
