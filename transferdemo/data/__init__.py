"""From a folder, a zip, the camera or a ready set to a LabelledFolder; import the module that does the part you need.

    read_folder, read_photos (folder) | read_zip, read_set (archive) | oxford_pets, digits (ready)   -> Listing
    prepare (prepare)                  Listing -> steps with fitted pictures, at the end a LabelledFolder
    LabelledFolder (labelled)          what was set aside and why; rename, move, restore, leave out, add
    near_duplicates (groups), split, folds (split)   which photos must stay on one side, and the sides
    write_project (project)            the zip that read_zip opens again another day

A Listing is made without opening one picture. Nothing is ever extracted to disk, and no file of a person is changed.
"""
