"""The gallery: each part of what there is to know, with its command, its picture and its number."""
