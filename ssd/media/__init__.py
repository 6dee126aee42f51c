"""What `ssd300 detect` does with many pictures and videos."""
