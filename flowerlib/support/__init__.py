"""What all other packages rest on: errors, files, terminals, options."""
