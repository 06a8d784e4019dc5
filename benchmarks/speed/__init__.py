"""How quick prediction, the server, the exported files and the bulk job are."""
