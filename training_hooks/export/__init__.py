"""Exchange of trained models with other engines, through the files of DeepSeek-V3's releases."""
