package ceremonies

// What fuzz targets look at directly: what people type, and what browsers send.
var (
	Normal    = normal
	Address   = address
	ErrorName = errorName
)
