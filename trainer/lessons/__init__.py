"""From differences to lessons and anchors."""
