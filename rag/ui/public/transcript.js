// The page of a conversation is there to be printed, or saved as a PDF.
addEventListener("load", () => print());
