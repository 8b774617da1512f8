"""Photos that something lists with their classes: a table, pairs, a data set, arrays, names."""
