// Which mapping wrote an event: raised with every change of what a transformer says.
export const MAPPING_VERSION = '1'
