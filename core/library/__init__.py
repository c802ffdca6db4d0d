"""The videos: frames to MP4 and back, the files on disk, the index over them."""
